import { setTimeout as delay } from 'node:timers/promises';
import { defineTool, ToolError, Type, type Tool } from '@callyard/worker';

/* A tool in several versions. The minor ones know more units, as a compatible version may. */

const units = ['celsius', 'fahrenheit', 'kelvin'] as const;

/** Says which version ran. Version 1.0 knows two units, later ones three. */
export const forecast = (version: string): Tool =>
  defineTool({
    name: 'forecast',
    version,
    description: 'Tomorrow',
    parameters: Type.Object({
      unit: Type.Union(units.slice(0, version.startsWith('1.0.') ? 2 : 3).map((unit) => Type.Literal(unit))),
      ms: Type.Optional(Type.Integer({ minimum: 0 })),
    }),
    policy: { timeoutMs: 30_000, maxLost: 5 },
    async handler({ ms = 0 }, { signal }) {
      await delay(ms, undefined, { signal });
      return version;
    },
  });

/** Fails at the first attempt of a call. */
export const stumblingForecast = (version: string): Tool =>
  defineTool({
    name: 'stumbling_forecast',
    version,
    description: 'Tomorrow, at the second try',
    parameters: Type.Object({}),
    policy: { timeoutMs: 30_000, maxLost: 5, retry: { attempts: 2, minDelayMs: 1, maxDelayMs: 20 } },
    handler(_args, { attempt }) {
      if (attempt === 1) throw new ToolError('stumbled', { retry: 'backoff' });
      return version;
    },
  });
