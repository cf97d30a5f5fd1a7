/* npm run docs: writes the reference that is generated from the code. With --check it only says what is stale. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { settingsOf, type ConfigKind, type Setting } from '@callyard/shared/config';
import { failureCodes, failures } from '@callyard/shared/failure';
import { auditFields, logEvents, logFields } from '@callyard/shared/log-names';
import { metricTable } from '@callyard/shared/metric-names';
import { attributes, spanEvents, spans } from '@callyard/shared/telemetry-names';

const generated = 'Generated from the code by `npm run docs`.';

const processes: readonly { kind: ConfigKind; title: string }[] = [
  { kind: 'worker', title: 'Worker' },
  { kind: 'dispatcher', title: 'Dispatcher' },
  { kind: 'model', title: 'Model, for commands that ask one' },
];

const documents: Record<string, () => string> = {
  '.env.example': envExample,
  'docs/config.md': configDoc,
  'docs/failures.md': failuresDoc,
  'docs/logs.md': logsDoc,
  'docs/telemetry.md': telemetryDoc,
};

const project = new URL('../', import.meta.url);

/** The documents whose file, in the project or another folder, does not say what the code says. */
export function staleDocuments(folder: URL = project): string[] {
  return Object.entries(documents).flatMap(([path, text]) => (read(new URL(path, folder)) === text() ? [] : [path]));
}

export function writeDocuments(folder: URL = project): void {
  mkdirSync(new URL('docs/', folder), { recursive: true });
  for (const [path, text] of Object.entries(documents)) writeFileSync(new URL(path, folder), text());
}

function read(file: URL): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

const shownDefault = ({ default: value }: Setting): string =>
  value === '' || (Array.isArray(value) && value.length === 0) ? '' : String(value);

function envExample(): string {
  const seen = new Set<string>();
  const blocks = processes.flatMap(({ kind, title }) => {
    const fresh = settingsOf(kind).filter(({ env }) => !seen.has(env) && seen.add(env));
    const lines = fresh.map((setting) => `# ${setting.description}\n# ${setting.env}=${shownDefault(setting)}`);
    return [`# ── ${title} ──`, ...lines];
  });
  return `# ${generated} Every setting with its default; remove a # to set one.\n\n${blocks.join('\n\n')}\n`;
}

function configDoc(): string {
  const sections = processes.map(({ kind, title }) => {
    const rows = settingsOf(kind).map((setting) => [
      `\`${setting.env}\``,
      `\`${setting.name}\``,
      shownDefault(setting) && `\`${shownDefault(setting)}\``,
      setting.description,
    ]);
    return `## ${title}\n\n${table(['variable', 'option', 'default', 'what it is'], rows)}`;
  });
  return `# Settings\n\n${generated} A variable that is empty counts as not set.\n\n${sections.join('\n\n')}\n`;
}

function failuresDoc(): string {
  const rows = failureCodes.map((code) => {
    const { status, retry, spendsAttempt, deadLetter, http, level, forModel } = failures[code];
    return [`\`${code}\``, status, retry, yes(spendsAttempt), yes(deadLetter), String(http), level, forModel];
  });
  const head = [
    'code',
    'status',
    'retry',
    'spends an attempt',
    'dead letter',
    'HTTP',
    'log level',
    'what the model reads',
  ];
  return `# Failure codes\n\n${generated} \`classify\` means that the error itself decides.\n\n${table(head, rows)}\n`;
}

function telemetryDoc(): string {
  const spanRows = Object.values(spans).map(({ name, kind, about }) => [`\`${name}\``, kind, about]);
  const eventRows = Object.entries(spanEvents).map(([name, { attributes: holds, about }]) => [
    `\`${name}\``,
    holds.map((attribute) => `\`${attribute}\``).join(', '),
    about,
  ]);
  const attributeRows = Object.entries(attributes).map(([name, about]) => [`\`${name}\``, about]);
  const parts = [
    `# Traces and metrics\n\n${generated}`,
    `## Spans\n\n${table(['name', 'kind', 'what it is'], spanRows)}`,
    `## Attributes\n\n${table(['name', 'what it holds'], attributeRows)}`,
    `## Span events\n\n${table(['name', 'attributes', 'what it tells'], eventRows)}`,
    `## Metrics\n\n${metricNotes}\n\n${table(['name', 'in Prometheus', 'kind', 'unit', 'labels', 'what it is'], metricRows())}`,
  ];
  return `${parts.join('\n\n')}\n`;
}

const metricNotes = `\`callyard worker\` and \`callyard dispatcher\` show them on \`/metrics\` (\`CALLYARD_METRICS_PORT\`), beside \`/healthz\` (200
while the process lives) and \`/readyz\` (200 where Redis answers and, of a worker, the catalog lists it). A process whose
port is taken runs without, and says so in its log. With \`OTEL_METRICS_EXPORTER=otlp\` they also go to the OTLP receiver.
A program that calls \`createWorker\` or \`createDispatcher\` itself registers its own OpenTelemetry SDK, and gets them there.

In Prometheus a histogram has \`_bucket\`, \`_sum\` and \`_count\`, and the dots of labels are underscores. A tool that nobody
serves is \`_OTHER\`. One metric of a process has 10,000 series at most; what comes beyond is counted together, with the label
\`otel_metric_overflow\`. Spans that a slow collector made a process drop are
\`otel_sdk_processor_span_processed_total{error_type="queue_full"}\`, of the SDK itself.

A call is counted where its outcome is written, so all processes together count it once. What a process that is killed had
not shown yet is lost, and a dispatcher that takes a run over may refuse a call, and count it, a second time.`;

function metricRows(): string[][] {
  return Object.entries(metricTable).map(([name, { kind, unit, labels, about }]) => {
    const shown = `${name.replaceAll('.', '_')}${kind === 'counter' ? '_total' : ''}`;
    return [`\`${name}\``, `\`${shown}\``, kind, unit, labels.map((label) => `\`${label}\``).join(', '), about];
  });
}

function logsDoc(): string {
  const events = Object.entries(logEvents);
  const eventRows = events.map(([name, { level, about, ...rest }]) => [
    `\`${name}\``,
    level,
    'audit' in rest ? 'yes' : '',
    about,
  ]);
  const fieldRows = (fields: Record<string, string>) =>
    Object.entries(fields).map(([name, about]) => [`\`${name}\``, about]);
  const parts = [
    `# Logs\n\n${generated} Processes write JSON lines to standard output, and lines for people where that is a terminal.`,
    logsNotes,
    `## Fields\n\n${table(['field', 'what it holds'], fieldRows(logFields))}`,
    `## Events\n\n${table(['event', 'level', 'audited', 'what happened'], eventRows)}`,
    `## Audit records\n\n${auditNotes}\n\n${table(['field', 'what it holds'], fieldRows(auditFields))}`,
  ];
  return `${parts.join('\n\n')}\n`;
}

const logsNotes = `Arguments and results stand in no line unless \`CALLYARD_LOG_CONTENT\` is set, and then at level \`debug\` only, redacted and
cut. The same goes at any level for what a tool or a model says of its failure, which may quote them; \`callyard why\` shows
it of a call, \`callyard run show\` of a run. What a handler writes to \`ctx.log\` is its own business. Everything of one
call is found by its \`job_id\`, everything of a run by its \`run_id\`, and both by the trace.`;

const auditNotes = `With \`CALLYARD_AUDIT_FILE\` records are appended to that file, whatever the level of the log, and the log tells of them
without names of people. Without it they are lines of the log, whatever its level but \`silent\`. Commands of \`callyard\`
log nothing, so what operators do is kept only with a file. It may be rotated by renaming it. A refusal is written once,
by the process whose outcome stands; a privileged call that begins, before each attempt. A process that is killed in the
instant between the outcome and its record leaves none, and a dispatcher that takes a run over may refuse a call a second
time.`;

const yes = (value: boolean): string => (value ? 'yes' : '');

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

if (import.meta.main) {
  const stale = staleDocuments();
  if (!process.argv.includes('--check')) writeDocuments();
  else if (stale.length > 0) {
    console.error(`stale: ${stale.join(', ')}; run npm run docs`);
    process.exitCode = 1;
  }
}
