import type { Principal } from '@callyard/shared/principal';
import type { Prices } from '@callyard/shared/prices';
import { inChatSpan } from '@callyard/shared/telemetry';
import type { Model, ModelRequest, ModelResponse } from './model.ts';
import { measuredAsk } from './model-metrics.ts';

/** A response, and the context of the question: what is proposed in it is linked to that. */
export interface Asked {
  response: ModelResponse;
  chat: string | undefined;
}

/** Asks the model once, inside its `chat` span. */
export function askModel(
  request: ModelRequest,
  model: Model,
  principal: Principal,
  prices: Prices | undefined,
): Promise<Asked> {
  const { conversationId, runId } = request;
  const about = { model: model.name, provider: model.provider, conversationId, runId, principal };
  return inChatSpan(about, async (describe, chat) => {
    const response = await measuredAsk(request, model, prices);
    describe(response);
    return { response, chat };
  });
}
