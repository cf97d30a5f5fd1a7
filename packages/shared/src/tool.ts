import type { Logger } from 'pino';
import { valid } from 'semver';
import type { Static, TSchema } from 'typebox';
import { costPointerProblems } from './admission/cost-pointer.ts';
import type { StateChange, StateValue, VersionedState } from './conversation-state.ts';
import { didYouMean } from './nearest.ts';
import { readPolicy, type Policy, type PolicyInput } from './policy.ts';
import type { Principal } from './principal.ts';
import { contentHash, type JsonSchema } from './schema.ts';
import { checkSchema } from './schema-check.ts';

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
  /** Tells whoever watches the durable run how far the call is: small JSON, redacted; larger than 4 KiB is left out. */
  progress: (said: unknown) => void;
  /** where the call belongs to a conversation; an isolated handler cannot reach it */
  conversation?: ConversationContext | undefined;
}

/** The state of a conversation, as a handler sees it: an object that its calls, and the choice of tools, share. */
export interface ConversationContext {
  id: string;
  /** version 0, and nothing in it, where none was written */
  state(): Promise<VersionedState>;
  /**
   * Changes the state and resolves with the new one, at most 64 KiB of JSON. `change` is called again where somebody
   * else wrote meanwhile, so it only computes; a call that runs again changes it again.
   */
  update(change: StateChange): Promise<StateValue>;
}

/** What answers for a tool that fails: a handler, or another tool of the same worker that takes the same arguments. */
export type Fallback<A = never> = ((args: A, ctx: ToolContext) => unknown) | { readonly tool: string };

/** Whether a person has to approve a call before it starts: always, or where the arguments ask for it. */
export type NeedsApproval<A = never> =
  | true
  | ((args: A, about: Pick<ToolContext, 'principal' | 'conversationId'>) => boolean | Promise<boolean>);

export interface Tool {
  readonly manifest: Manifest;
  readonly handler: (args: never, ctx: ToolContext) => unknown;
  readonly fallback?: Fallback | undefined;
  /** given exactly where the manifest has `policy.approval` */
  readonly needsApproval?: NeedsApproval | undefined;
  /** `import.meta.url` of the module that exports the tool; needed for `policy.isolate` */
  readonly module: string | undefined;
}

/** What a schema says of the arguments, as far as TypeScript can tell. */
type Arguments<P extends TSchema | JsonSchema> = unknown extends Static<P> ? Record<string, unknown> : Static<P>;

export interface ToolDefinition<P extends TSchema | JsonSchema> {
  /** letters, digits, `_ . - /`; at most 128 */
  name: string;
  /** semver, at most 64 characters */
  version: string;
  description: string;
  category?: string;
  parameters: P;
  policy?: PolicyInput;
  module?: string;
  handler: (args: Arguments<P>, ctx: ToolContext) => unknown;
  /** Where every attempt failed, or the service is not asked. A handler runs in the worker itself, also of an isolated tool. */
  fallback?: Fallback<Arguments<P>>;
  /** Until a person approves it, a call waits without a slot; see `policy.approval`. A predicate may be asked again. */
  needsApproval?: NeedsApproval<Arguments<P>>;
}

/** A tool cannot be registered; the message names every place that is wrong. */
export class ToolDefinitionError extends Error {
  override name = 'ToolDefinitionError';
}

const definitionKeys = [
  'name',
  'version',
  'description',
  'category',
  'parameters',
  'policy',
  'module',
  'handler',
  'fallback',
  'needsApproval',
];
const namePattern = /^[A-Za-z_][A-Za-z0-9_./-]{0,127}$/;

/**
 * Defines a tool: schema and handler together, the type of the arguments inferred from a TypeBox schema. Plain JSON
 * Schema is taken too, checked by the same compiler, and inferred from where it is written in place.
 * @throws ToolDefinitionError
 */
export function defineTool<const P extends TSchema | JsonSchema>(definition: ToolDefinition<P>): Tool {
  const { name, version, description, category, module, handler, fallback, needsApproval } = definition;
  const { policy, problems } = readPolicy(withApproval(definition));
  const parameters = plainJson(definition.parameters);
  problems.push(
    ...headProblems(definition),
    ...checkSchema(parameters).map(({ pointer, problem }) => `parameters${pointer && `/${pointer}`}: ${problem}`),
  );
  if (problems.length === 0) problems.push(...costPointerProblems(policy.limits, parameters as JsonSchema));
  if (problems.length > 0) {
    throw new ToolDefinitionError(problems.map((problem) => `tool ${name}@${version}: ${problem}`).join('\n'));
  }
  const manifest: Manifest = {
    name,
    version,
    description,
    ...(category === undefined ? {} : { category }),
    parameters: parameters as JsonSchema,
    schemaHash: contentHash(parameters),
    policy,
  };
  return { manifest: frozen(manifest), handler, fallback, needsApproval, module };
}

/** Everybody sees by its policy that a tool may need approval. */
function withApproval({ policy = {}, needsApproval }: Pick<ToolDefinition<never>, 'policy' | 'needsApproval'>) {
  return needsApproval === undefined ? policy : { ...policy, approval: policy.approval ?? {} };
}

/** TypeBox keeps marks of its own on a schema; what travels is plain JSON. Undefined for what cannot be JSON. */
function plainJson(schema: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(schema)) as unknown;
  } catch {
    return undefined;
  }
}

/** A manifest is hashed and sent once: a change of it would go unnoticed. */
function frozen<T extends object>(value: T): T {
  for (const part of Object.values(value) as unknown[]) if (typeof part === 'object' && part !== null) frozen(part);
  return Object.freeze(value);
}

function headProblems(definition: Omit<ToolDefinition<never>, 'parameters'>): string[] {
  const { name, version, description, category, module, handler } = definition;
  const problems = Object.keys(definition)
    .filter((key) => !definitionKeys.includes(key))
    .map(unknownKey);
  if (typeof name !== 'string' || !namePattern.test(name))
    problems.push(`name: ${JSON.stringify(name)} does not match ${namePattern}`);
  if (valid(version) !== version)
    problems.push(`version: ${JSON.stringify(version)} is not a semantic version such as 1.0.0`);
  else if (version.length > 64) problems.push(`version: ${version.length} characters; at most 64 are taken`);
  if (typeof description !== 'string' || description.trim() === '') problems.push('description: the model needs one');
  for (const [key, value] of Object.entries({ category, module })) {
    if (value !== undefined && typeof value !== 'string') problems.push(`${key}: not a string`);
  }
  if (typeof handler !== 'function') problems.push('handler: not a function');
  if (!isFallback(definition.fallback)) problems.push("fallback: neither a function nor { tool: 'name' }");
  problems.push(...approvalProblems(definition));
  return problems;
}

function approvalProblems({
  needsApproval,
  policy,
}: Pick<ToolDefinition<never>, 'policy' | 'needsApproval'>): string[] {
  if (needsApproval === undefined && policy?.approval)
    return ['policy/approval: says who approves, but there is no needsApproval'];
  const isFit = needsApproval === undefined || needsApproval === true || typeof needsApproval === 'function';
  return isFit ? [] : ['needsApproval: neither true nor a function'];
}

const isFallback = (value: unknown): boolean =>
  value === undefined ||
  typeof value === 'function' ||
  (typeof value === 'object' && value !== null && 'tool' in value && typeof value.tool === 'string');

function unknownKey(key: string): string {
  return `unknown ${key}${didYouMean(key, definitionKeys)}`;
}

/** Identifies a manifest by everything in it. */
export const manifestHash = (manifest: Manifest): string => contentHash(manifest);
