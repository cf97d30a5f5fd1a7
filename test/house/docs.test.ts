import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig, settingsOf } from '@callyard/shared/config';
import { failureCodes } from '@callyard/shared/failure';
import { logEvents } from '@callyard/shared/log-names';
import { metricTable } from '@callyard/shared/metric-names';
import { attributes, spans } from '@callyard/shared/telemetry-names';
import { staleDocuments, writeDocuments } from '../../scripts/docs.ts';

it('the generated reference says what the code says (npm run docs)', () => {
  expect(staleDocuments()).toEqual([]);
});

describe('the reference that is generated', () => {
  const path = mkdtempSync(join(tmpdir(), 'docs-'));
  const folder = pathToFileURL(`${path}/`);
  const read = (name: string) => readFileSync(join(path, name), 'utf8');
  const settings = (['worker', 'dispatcher', 'model'] as const).flatMap(settingsOf);

  beforeAll(() => writeDocuments(folder));
  afterAll(() => rmSync(path, { recursive: true }));

  it('is stale where a file is missing or was edited, and only there', () => {
    const fresh = mkdtempSync(join(tmpdir(), 'docs-'));
    const elsewhere = pathToFileURL(`${fresh}/`);
    expect(staleDocuments(elsewhere)).toEqual([
      '.env.example',
      'docs/config.md',
      'docs/failures.md',
      'docs/logs.md',
      'docs/telemetry.md',
    ]);
    writeDocuments(elsewhere);
    expect(staleDocuments(elsewhere)).toEqual([]);
    appendFileSync(join(fresh, 'docs/failures.md'), 'x');
    expect(staleDocuments(elsewhere)).toEqual(['docs/failures.md']);
    rmSync(fresh, { recursive: true });
  });

  it('holds an environment that sets nothing until a line is uncommented, and then the default', () => {
    const lines = read('.env.example').split('\n');
    expect(lines.filter((line) => line !== '' && !line.startsWith('#'))).toEqual([]);
    const set = lines.flatMap((line) => /^# ([A-Z_]+)=(.*)$/.exec(line)?.slice(1, 3) ?? []);
    const env = Object.fromEntries(set.flatMap((name, i) => (i % 2 === 0 ? [[name, set[i + 1]]] : [])));
    expect(Object.keys(env).toSorted()).toEqual([...new Set(settings.map((setting) => setting.env))].toSorted());
    for (const kind of ['worker', 'dispatcher', 'model'] as const)
      expect(loadConfig(kind, env)).toEqual(loadConfig(kind, {}));
  });

  it.each([
    ['every setting', 'docs/config.md', settings.map((setting) => `| \`${setting.env}\` | \`${setting.name}\` |`)],
    ['every failure code', 'docs/failures.md', failureCodes.map((code) => `| \`${code}\` |`)],
    ['every event of the log', 'docs/logs.md', Object.keys(logEvents).map((event) => `| \`${event}\` |`)],
    ['every metric', 'docs/telemetry.md', Object.keys(metricTable).map((name) => `| \`${name}\` | \``)],
    ['every span', 'docs/telemetry.md', Object.values(spans).map(({ name, kind }) => `| \`${name}\` | ${kind} |`)],
    [
      'every attribute',
      'docs/telemetry.md',
      Object.entries(attributes).map(([name, about]) => `| \`${name}\` | ${about} |`),
    ],
  ])('has a row for %s', (_what, file, rows) => {
    const text = read(file);
    expect(rows.length).toBeGreaterThan(4);
    expect(rows.filter((row) => !text.includes(row))).toEqual([]);
  });
});
