import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import { valid } from 'semver';
import type { Static, TSchema } from 'typebox';
import { readPolicy, type Policy, type PolicyInput } from './policy.ts';
import type { Principal } from './principal.ts';
import { canonicalJson, schemaHash, type JsonSchema } from './schema.ts';
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

/** A tool cannot be registered; the message names every place that is wrong. */
export class ToolDefinitionError extends Error {
  override name = 'ToolDefinitionError';
}

const namePattern = /^[A-Za-z_][A-Za-z0-9_./-]{0,127}$/;

/**
 * Defines a tool: schema and handler together, the type of the arguments inferred from a TypeBox schema. Plain JSON
 * Schema is taken too and checked by the same compiler.
 * @throws ToolDefinitionError
 */
export function defineTool<P extends TSchema | JsonSchema>(definition: ToolDefinition<P>): Tool {
  const { name, version, description, category, module, handler } = definition;
  const { policy, problems } = readPolicy(definition.policy ?? {});
  const parameters = plainJson(definition.parameters);
  problems.push(
    ...headProblems(definition),
    ...checkSchema(parameters).map(({ pointer, problem }) => `parameters${pointer && `/${pointer}`}: ${problem}`),
  );
  if (problems.length > 0) {
    throw new ToolDefinitionError(problems.map((problem) => `tool ${name}@${version}: ${problem}`).join('\n'));
  }
  const manifest: Manifest = {
    name,
    version,
    description,
    ...(category === undefined ? {} : { category }),
    parameters: parameters as JsonSchema,
    schemaHash: schemaHash(parameters),
    policy,
  };
  return { manifest, handler: handler, module };
}

/** TypeBox keeps marks of its own on a schema; what travels is plain JSON. Undefined for what cannot be JSON. */
function plainJson(schema: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(schema)) as unknown;
  } catch {
    return undefined;
  }
}

function headProblems(
  head: Pick<ToolDefinition<JsonSchema>, 'name' | 'version' | 'description'> & { handler: unknown },
): string[] {
  const { name, version, description, handler } = head;
  const problems: string[] = [];
  if (typeof name !== 'string' || !namePattern.test(name))
    problems.push(`name: ${JSON.stringify(name)} does not match ${namePattern}`);
  if (valid(version) !== version)
    problems.push(`version: ${JSON.stringify(version)} is not a semantic version such as 1.0.0`);
  if (typeof description !== 'string' || description.trim() === '') problems.push('description: the model needs one');
  if (typeof handler !== 'function') problems.push('handler: not a function');
  return problems;
}

/** Identifies a manifest by everything in it. */
export const manifestHash = (manifest: Manifest): string =>
  createHash('sha256').update(canonicalJson(manifest)).digest('hex').slice(0, 16);
