import { defineTool, ToolError, Type } from '@callyard/worker';

export const timeInZone = defineTool({
  name: 'time_in_zone',
  version: '1.0.0',
  description: 'The time now in an IANA time zone such as Europe/Oslo',
  category: 'time',
  parameters: Type.Object({ zone: Type.String({ maxLength: 64 }) }, { additionalProperties: false }),
  policy: { effects: 'none' },
  handler({ zone }) {
    const options = { timeZone: zone, dateStyle: 'full', timeStyle: 'long' } as const;
    try {
      return { zone, time: new Intl.DateTimeFormat('en-GB', options).format(new Date()) };
    } catch {
      throw new ToolError(`${zone} is not a time zone.`, { suggestion: 'Use an IANA name such as Europe/Oslo.' });
    }
  },
});
