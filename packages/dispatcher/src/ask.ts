import { inChatSpan } from '@callyard/shared/telemetry';
import type { Model, ModelRequest, ModelResponse } from './model.ts';

/** Asks the model once, inside its `chat` span. */
export function askModel(request: ModelRequest, model: Model): Promise<ModelResponse> {
  const { conversationId, runId } = request;
  return inChatSpan({ model: model.name, provider: model.provider, conversationId, runId }, async (describe) => {
    const response = await model.ask(request);
    describe(response);
    return response;
  });
}
