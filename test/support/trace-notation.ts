import { spans as spanTable, type Attribute } from '@callyard/shared/telemetry-names';
import type { ReceivedSpan } from '../../packages/cli/src/otlp-receiver.ts';

/*
 * A trace as lines, indented by parent: name, tool, then what is special about the span. `#2` is the attempt of a
 * pick-up, `!code` an error, `(code)` what is no fault of the system, `wait:` a wait other than for a slot, with the
 * limit it was for, `~ name` a link, `? ` before a span whose parent was not exported.
 */

const firstWord = (text: string): string => text.split(' ', 1)[0] ?? '';

/** The order of what begins in the same millisecond. */
const order = Object.values(spanTable).map(({ name }) => firstWord(name));

export function treeOf(spans: readonly ReceivedSpan[], all: readonly ReceivedSpan[] = spans): string[] {
  const known = new Set(spans.map(({ spanId }) => spanId));
  const below = Map.groupBy(spans, ({ parentSpanId = '' }) => (known.has(parentSpanId) ? parentSpanId : ''));
  const render = (span: ReceivedSpan, indent: string): string[] => [
    `${indent}${span.parentSpanId !== undefined && indent === '' ? '? ' : ''}${line(span, all)}`,
    ...inOrder(below.get(span.spanId)).flatMap((child) => render(child, `${indent}  `)),
  ];
  return inOrder(below.get('')).flatMap((root) => render(root, ''));
}

const inOrder = (spans: readonly ReceivedSpan[] = []): ReceivedSpan[] =>
  spans.toSorted((a, b) => a.startMs - b.startMs || rank(a) - rank(b) || keyOf(a).localeCompare(keyOf(b)));

const rank = ({ name }: ReceivedSpan): number => order.indexOf(firstWord(name));
const keyOf = (span: ReceivedSpan): string => told(span, 'messaging.message.id') ?? '';

/** An attribute as text, between these. */
function told(
  { attributes }: Pick<ReceivedSpan, 'attributes'>,
  name: Attribute,
  before = '',
  after = '',
): string | undefined {
  const value = attributes[name];
  const isTold = (typeof value === 'string' && value !== '') || (typeof value === 'number' && value > 0);
  return isTold ? `${before}${value}${after}` : undefined;
}

function line(span: ReceivedSpan, all: readonly ReceivedSpan[]): string {
  const tool = span.name.startsWith('execute_tool') ? undefined : told(span, 'gen_ai.tool.name');
  const attempt = span.name === 'process calls' ? told(span, 'callyard.attempt', '#') : undefined;
  const parts = [span.name, tool, ...hold(span), attempt, told(span, 'callyard.outcome'), error(span)];
  return [...parts, ...events(span), ...links(span, all)].filter((part) => part !== undefined).join(' ');
}

const hold = (span: ReceivedSpan) => [
  told(span, 'callyard.run.hold', 'hold='),
  told(span, 'callyard.hold.began'),
  told(span, 'callyard.hold.ended'),
  told(span, 'callyard.run.state'),
  told(span, 'callyard.gather.calls', '', ' calls'),
  told(span, 'callyard.gather.missing', '', ' missing'),
];

const error = (span: ReceivedSpan) =>
  span.status === 'ERROR' ? told(span, 'error.type', '!') : told(span, 'error.type', '(', ')');

const events = (span: ReceivedSpan) =>
  span.events.map((event) => {
    if (event.name === 'exception') return undefined;
    if (event.name !== 'callyard.wait') return event.name.replace('callyard.', '');
    const reason = told(event, 'callyard.wait.reason', 'wait:') ?? '';
    if (reason === 'wait:queue' || reason === 'wait:share') return undefined;
    return `${reason}${told(event, 'callyard.wait.per', '/') ?? ''}`;
  });

function links({ links: to }: ReceivedSpan, all: readonly ReceivedSpan[]): string[] {
  return to.map(({ spanId }) => `~ ${all.find((span) => span.spanId === spanId)?.name ?? 'nothing'}`);
}

/** The first wait of a kind that the spans tell of, with all that it says. */
export function waitIn(spans: readonly ReceivedSpan[], reason: string): Record<string, unknown> | undefined {
  const waits = spans.flatMap((span) => span.events).filter(({ name }) => name === 'callyard.wait');
  return waits.find(({ attributes }) => attributes['callyard.wait.reason'] === reason)?.attributes;
}

/** The kinds of spans that are not what the table says. */
export const wrongKinds = (spans: readonly ReceivedSpan[]): string[] =>
  spans.flatMap(({ name, kind }) => {
    const named = Object.values(spanTable).find((one) => firstWord(one.name) === firstWord(name));
    return named?.kind === kind ? [] : [`${name} is ${kind}`];
  });
