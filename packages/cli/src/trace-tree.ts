import type { ReceivedSpan } from './otlp-receiver.ts';

/** A trace as an indented tree: who did what, when, for how long, and what went wrong. */
export function renderTraceTree(spans: readonly ReceivedSpan[]): string {
  const known = new Set(spans.map(({ spanId }) => spanId));
  const children = Map.groupBy(spans, ({ parentSpanId }) =>
    parentSpanId && known.has(parentSpanId) ? parentSpanId : '',
  );
  const inOrder = (parent: string) => (children.get(parent) ?? []).toSorted((a, b) => a.startMs - b.startMs);
  const begin = Math.min(...spans.map(({ startMs }) => startMs));
  const lines: string[] = [];

  const render = (span: ReceivedSpan, indent: string, last: boolean, root: boolean): void => {
    const branch = root ? '' : last ? '└─ ' : '├─ ';
    lines.push(line(`${indent}${branch}${span.name}`, span, begin));
    const below = root ? indent : `${indent}${last ? '   ' : '│  '}`;
    const under = inOrder(span.spanId);
    under.forEach((child, i) => render(child, below, i === under.length - 1, false));
  };
  for (const root of inOrder('')) render(root, '', true, true);
  return lines.join('\n');
}

function line(title: string, span: ReceivedSpan, begin: number): string {
  const at = `+${Math.round(span.startMs - begin)} ms`.padStart(9);
  const took = `${span.durationMs.toFixed(1)} ms`.padStart(10);
  const mark = span.status === 'ERROR' ? '✗' : ' ';
  return `${title.padEnd(46)}${at}${took} ${mark} ${notes(span)}`.trimEnd();
}

function notes({ attributes, service }: ReceivedSpan): string {
  const wait = attributes['callyard.wait.ms'];
  const parts = [
    attributes['gen_ai.tool.name'],
    attributes['callyard.outcome'],
    attributes['error.type'],
    Number(wait) >= 1 ? `waited ${wait} ms (${attributes['callyard.wait.reason']})` : undefined,
    attributes['messaging.client.id'] ?? service,
  ];
  return parts
    .filter((part) => part !== undefined)
    .map(String)
    .join(' · ');
}
