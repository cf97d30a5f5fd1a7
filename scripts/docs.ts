/* npm run docs: writes the reference that is generated from the code. With --check it only says what is stale. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { settingsOf, type ConfigKind, type Setting } from '@callyard/shared/config';
import { failureCodes, failures } from '@callyard/shared/failure';
import { attributes, spans } from '@callyard/shared/telemetry-names';

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
  const attributeRows = Object.entries(attributes).map(([name, about]) => [`\`${name}\``, about]);
  const parts = [
    `# Traces\n\n${generated}`,
    `## Spans\n\n${table(['name', 'kind', 'what it is'], spanRows)}`,
    `## Attributes\n\n${table(['name', 'what it holds'], attributeRows)}`,
  ];
  return `${parts.join('\n\n')}\n`;
}

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
