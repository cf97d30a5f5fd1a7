import { count, measure } from '@callyard/shared/metrics';
import { costOf, type Prices } from '@callyard/shared/prices';
import { ModelError, type Model, type ModelRequest, type ModelResponse } from './model.ts';

/** Asks the model, and measures how long it takes, its tokens, and what they cost. */
export async function measuredAsk(
  request: ModelRequest,
  model: Model,
  prices: Prices | undefined,
): Promise<ModelResponse> {
  const startedAt = performance.now();
  const about = { 'gen_ai.provider.name': model.provider, 'gen_ai.request.model': model.name };
  const chat = { ...about, 'gen_ai.operation.name': 'chat' };
  const end = (type?: string) =>
    measure('gen_ai.client.operation.duration', (performance.now() - startedAt) / 1_000, {
      ...chat,
      'error.type': type,
    });
  let response: ModelResponse;
  try {
    response = await model.ask(request);
  } catch (error) {
    end(request.signal.aborted ? 'aborted' : errorType(error));
    throw error;
  }
  end();
  if (!saysUsage(response)) return { ...response, usage: { inputTokens: 0, outputTokens: 0 } };
  const { usage } = response;
  measure('gen_ai.client.token.usage', usage.inputTokens, { ...chat, 'gen_ai.token.type': 'input' });
  measure('gen_ai.client.token.usage', usage.outputTokens, { ...chat, 'gen_ai.token.type': 'output' });
  const cost = prices && costOf(model.name, usage, prices);
  if (cost !== undefined) count('callyard.model.cost', { ...about, currency: prices?.currency }, cost);
  return response;
}

/** Not every server says what it took, and an adapter may hand that on: then nothing is known, and nothing measured. */
const saysUsage = ({ usage }: Partial<ModelResponse>): boolean =>
  Number.isFinite(usage?.inputTokens) && Number.isFinite(usage?.outputTokens);

/** The HTTP status, where there was one that is one. */
function errorType(error: unknown): string {
  if (!(error instanceof ModelError)) return '_OTHER';
  const { status } = error;
  return status !== undefined && Number.isInteger(status) && status >= 100 && status < 600
    ? String(status)
    : 'model_error';
}
