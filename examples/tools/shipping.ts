import { setTimeout as delay } from 'node:timers/promises';
import { defineTool, Type } from '@callyard/worker';

/** Carriers take their time: what parallel calls are for. A quote is good for a minute, whoever asks. */
export const quoteShipping = defineTool({
  name: 'quote_shipping',
  version: '1.0.0',
  description: 'What a carrier asks to ship a parcel to a city',
  category: 'orders',
  parameters: Type.Object(
    {
      city: Type.String({ minLength: 2, maxLength: 100 }),
      kilograms: Type.Number({ exclusiveMinimum: 0, maximum: 30 }),
    },
    { additionalProperties: false },
  ),
  policy: { effects: 'none', timeoutMs: 5_000, cache: { ttlMs: 60_000, scope: 'shared' } },
  async handler({ city, kilograms }, { signal }) {
    await delay(800, undefined, { signal });
    return { city, price: Math.round((4.5 + city.length * 0.35 + kilograms * 2.2) * 100) / 100, currency: 'EUR' };
  },
});
