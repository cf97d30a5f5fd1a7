import type { Manifest } from '@callyard/shared/tool';

/** A message in Chat Completions form, the widest wire. Fields not named here are kept as they came. */
export type Message = SystemMessage | UserMessage | AssistantMessage | ToolMessage | LegacyFunctionMessage;

interface Extra {
  [field: string]: unknown;
}
export interface SystemMessage extends Extra {
  role: 'system' | 'developer';
  content: unknown;
}
export interface UserMessage extends Extra {
  role: 'user';
  content: unknown;
}
export interface AssistantMessage extends Extra {
  role: 'assistant';
  content?: unknown;
  tool_calls?: ToolCall[];
  /** the form before `tool_calls`: one call, no id */
  function_call?: { name: string; arguments: string } | null;
}
export interface ToolMessage extends Extra {
  role: 'tool';
  tool_call_id: string;
  name?: string;
  content: unknown;
}
export interface LegacyFunctionMessage extends Extra {
  role: 'function';
  name: string;
  content: unknown;
}

/** A call as the model wrote it; `arguments` stays text until a worker has validated it. */
export interface ToolCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
}

export type ToolChoice = 'auto' | 'none' | 'required' | { name: string };

export interface Usage {
  inputTokens: number;
  /** those among them that the provider had in its cache, where it says so */
  cachedInputTokens?: number;
  outputTokens: number;
}

/** More text of an answer, or that what came so far is void: the model is asked anew. */
export type ModelDelta = { text: string } | { restart: true };

export interface ModelRequest {
  messages: readonly Message[];
  /** with their real names and original schemas; the adapter makes the provider's copy */
  tools: readonly Manifest[];
  toolChoice?: ToolChoice;
  /** whether the model may propose several calls at once; the provider's default when left out */
  parallel?: boolean;
  signal: AbortSignal;
  /** Told the text of the answer as it comes: since the last restart, joined, it is the content of the response. */
  onDelta?: (delta: ModelDelta) => void;
  /** set by scripted models to find their place; providers ignore it */
  turn: number;
  runId: string;
  conversationId: string | undefined;
}

export interface ModelResponse {
  /** appended to the conversation as it is, names turned back into the tools' own */
  message: AssistantMessage;
  /** `length` and `filtered` responses are incomplete: nothing is dispatched from them */
  stop: 'answer' | 'calls' | 'length' | 'filtered';
  usage: Usage;
  id?: string;
  /** the model that answered, as the provider names it */
  model?: string;
}

/** The port every model adapter fills. */
export interface Model {
  /** the name asked for, as it stands in spans and metrics */
  readonly name: string;
  /** `openai`, `anthropic`, `scripted` … in OpenTelemetry's words */
  readonly provider: string;
  /** Rejects with `ModelError`; aborts with the signal. */
  ask(request: ModelRequest): Promise<ModelResponse>;
}

export interface ModelErrorOptions {
  /** HTTP status, where there was one */
  status?: number;
  cause?: unknown;
}

/** The model could not be asked, or answered with something that cannot be used; the run ends with it. */
export class ModelError extends Error {
  readonly status: number | undefined;
  constructor(message: string, options: ModelErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'ModelError';
    this.status = options.status;
  }
}
