import type { FailureCode } from '@callyard/shared/failure';
import type { ToolCall } from '@callyard/dispatcher';
import type { CallsCase, RecordedTool } from './cases.ts';

export type DamageKind =
  | 'required argument dropped'
  | 'wrong type'
  | 'truncated JSON'
  | 'unknown tool name'
  | 'unknown key in a closed schema';

/** A case with one call damaged, and what must come of that call. */
export interface DamagedCase {
  damaged: CallsCase;
  kind: DamageKind;
  /** which call */
  at: number;
  expected: FailureCode;
}

interface Damage {
  kind: DamageKind;
  expected: FailureCode;
  /** the damaged call, or undefined where this call cannot be damaged so */
  apply(call: ToolCall, tool: RecordedTool): ToolCall | undefined;
}

const damages: readonly Damage[] = [
  { kind: 'required argument dropped', expected: 'invalid_arguments', apply: dropRequired },
  { kind: 'wrong type', expected: 'invalid_arguments', apply: wrongType },
  {
    kind: 'truncated JSON',
    expected: 'malformed_arguments',
    apply: (call) => withText(call, call.function.arguments.slice(0, -1)),
  },
  {
    kind: 'unknown tool name',
    expected: 'unknown_tool',
    apply: (call) => ({ ...call, function: { ...call.function, name: `${call.function.name}_x` } }),
  },
  { kind: 'unknown key in a closed schema', expected: 'invalid_arguments', apply: addUnknownKey },
];

/** Every way to damage one call of the case, its siblings untouched. */
export function damagedCases(one: CallsCase): DamagedCase[] {
  return one.calls.flatMap((call, at) => {
    const tool = one.tools.find(({ name }) => name === call.function.name);
    if (!tool) return [];
    return damages.flatMap(({ kind, expected, apply }) => {
      const damagedCall = apply(call, tool);
      if (!damagedCall) return [];
      const calls = one.calls.with(at, damagedCall);
      return [{ damaged: { ...one, calls }, kind, at, expected }];
    });
  });
}

const argumentsOf = (call: ToolCall) => JSON.parse(call.function.arguments) as Record<string, unknown>;
const withText = (call: ToolCall, text: string): ToolCall => ({
  ...call,
  function: { ...call.function, arguments: text },
});
const withArguments = (call: ToolCall, args: Record<string, unknown>): ToolCall => withText(call, JSON.stringify(args));

function dropRequired(call: ToolCall, { parameters }: RecordedTool): ToolCall | undefined {
  const args = argumentsOf(call);
  const required = (parameters.required as string[] | undefined)?.find((name) => name in args);
  if (required === undefined) return undefined;
  const { [required]: _dropped, ...rest } = args;
  return withArguments(call, rest);
}

function wrongType(call: ToolCall, { parameters }: RecordedTool): ToolCall | undefined {
  const properties = (parameters.properties ?? {}) as Record<string, { type?: unknown }>;
  const args = argumentsOf(call);
  const typed = Object.keys(args).find((name) => typeof properties[name]?.type === 'string');
  if (typed === undefined) return undefined;
  const wrong = properties[typed]?.type === 'object' ? 'not an object' : { not: 'of this type' };
  return withArguments(call, { ...args, [typed]: wrong });
}

function addUnknownKey(call: ToolCall, { parameters }: RecordedTool): ToolCall | undefined {
  if (parameters.additionalProperties !== false) return undefined;
  return withArguments(call, { ...argumentsOf(call), no_such_argument: 1 });
}
