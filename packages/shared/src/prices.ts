import { readFileSync } from 'node:fs';
import Type from 'typebox';
import { ConfigError } from './config.ts';
import { problemsOf } from './schema-problems.ts';

const Price = Type.Number({ minimum: 0, description: 'of a million tokens' });

/** What tokens cost, by the name of the model that is asked. */
export const Prices = Type.Object(
  {
    currency: Type.String({ pattern: '^[A-Z]{3}$', description: 'as ISO 4217 has it, such as USD' }),
    models: Type.Record(
      Type.String(),
      Type.Object(
        {
          inputPerMillion: Price,
          cachedInputPerMillion: Type.Optional(Price),
          outputPerMillion: Price,
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
);
export type Prices = Type.Static<typeof Prices>;

/** Prices that cannot be used; the message names every place that is wrong. */
export class PricesError extends ConfigError {
  override name = 'PricesError';
}

/** @throws PricesError */
export function readPrices(data: unknown): Prices {
  const problems = problemsOf(data, Prices).map(({ pointer, problem }) => `  ${pointer || '/'}: ${problem}`);
  if (problems.length > 0) throw new PricesError(`wrong prices:\n${problems.join('\n')}`);
  return data as Prices;
}

/** @throws PricesError which names the file */
export function loadPrices(file: string): Prices {
  try {
    return readPrices(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new PricesError(`the prices in ${file} cannot be used: ${why}`, { cause: error });
  }
}

export interface Tokens {
  inputTokens: number;
  /** those among them that the provider had in its cache */
  cachedInputTokens?: number;
  outputTokens: number;
}

/** What a question and its answer cost; undefined of a model that has no price. */
export function costOf(model: string, usage: Tokens, { models }: Prices): number | undefined {
  if (!Object.hasOwn(models, model)) return undefined;
  const { inputPerMillion, cachedInputPerMillion = inputPerMillion, outputPerMillion } = models[model]!;
  const { inputTokens, outputTokens } = usage;
  const cached = Math.min(usage.cachedInputTokens ?? 0, inputTokens);
  const input = (inputTokens - cached) * inputPerMillion + cached * cachedInputPerMillion;
  return (input + outputTokens * outputPerMillion) / 1e6;
}
