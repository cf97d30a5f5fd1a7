import type { Logger } from 'pino';
import type { Static, TSchema } from 'typebox';
import type { JsonSchema } from './schema.ts';
import type { Policy, PolicyInput } from './policy.ts';
import type { Principal } from './principal.ts';

/** A tool as everybody but its worker sees it: plain JSON. */
export interface Manifest {
  name: string;
  version: string;
  description: string;
  category?: string;
  /** JSON Schema of the arguments, draft 2020-12, always an object */
  parameters: JsonSchema;
  schemaHash: string;
  policy: Policy;
}

/** What a handler gets beside its arguments. */
export interface ToolContext {
  /** aborted at the timeout, the deadline, a cancel, or when this worker loses the call */
  signal: AbortSignal;
  /** `fetch`, confined to the hosts of the policy */
  fetch: (input: string | URL, init?: RequestInit) => Promise<Response>;
  principal: Principal;
  log: Logger;
  /** the same for every attempt of a call: hand it to whatever must not happen twice */
  idempotencyKey: string;
  /** 1 for the first */
  attempt: number;
  conversationId: string | undefined;
}

export interface Tool {
  readonly manifest: Manifest;
  readonly handler: (args: never, ctx: ToolContext) => unknown;
  /** `import.meta.url` of the module that exports the tool; needed for `policy.isolate` */
  readonly module: string | undefined;
}

export interface ToolDefinition<P extends TSchema | JsonSchema> {
  /** letters, digits, `_ . - /`; at most 128 */
  name: string;
  /** semver */
  version: string;
  description: string;
  category?: string;
  parameters: P;
  policy?: PolicyInput;
  module?: string;
  handler: (args: P extends TSchema ? Static<P> : Record<string, unknown>, ctx: ToolContext) => unknown;
}
