import { attributes, events, spans } from '../packages/shared/src/telemetry-names.ts';

/** docs/telemetry.md: the names by which traces are searched. */
export function telemetryDoc(): string {
  const spanRows = Object.values(spans).map(({ name, kind, about }) => row(code(name), kind, about));
  return `# Traces

Generated from \`packages/shared/src/telemetry-names.ts\` by \`npm run docs\`.

One run is one trace. A span is in error when what it stands for failed; a refused call is an answer to the model, so its
span has an \`error.type\` and no error status.

## Spans

${table(['span', 'kind', 'what it is'], spanRows)}

## Events

${table(['event', 'what it says'], described(events))}

## Attributes

${table(['attribute', 'what it holds'], described(attributes))}
`;
}

const code = (text: string): string => `\`${text}\``;

const row = (...cells: string[]): string => `| ${cells.join(' | ')} |`;

const described = (names: Readonly<Record<string, string>>): string[] =>
  Object.entries(names).map(([name, about]) => row(code(name), about));

const table = (head: string[], rows: string[]): string =>
  [row(...head), row(...head.map(() => '---')), ...rows].join('\n');
