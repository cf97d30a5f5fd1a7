import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { metricTable } from '@callyard/shared/metric-names';
import { findProgram } from '../support/find-program.ts';

const folder = (path: string): string => fileURLToPath(new URL(`../../${path}/`, import.meta.url));
const filesIn = (path: string): string[] => readdirSync(folder(path)).toSorted();
const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

interface Panel {
  id: number;
  title: string;
  type: string;
  targets?: { expr: string }[];
}
interface Dashboard {
  uid: string;
  panels: Panel[];
}

const dashboards = filesIn('deploy/grafana/dashboards').map((name) => ({
  name,
  ...(JSON.parse(read(`deploy/grafana/dashboards/${name}`)) as Dashboard),
}));
const ruleFiles = filesIn('deploy/prometheus/rules').map((name) => `deploy/prometheus/rules/${name}`);
const rules = ruleFiles.map(read).join('\n');
const namesAfter = (key: string): string[] =>
  [...rules.matchAll(new RegExp(`^ +- ${key}: (\\S+)$`, 'gm'))].map(([, name = '']) => name);
const alerts = namesAfter('alert');

/** As the Prometheus exporter writes them: counters end in `_total`, histograms are three series. */
const ours = Object.entries(metricTable).flatMap(([name, { kind }]) => {
  const base = name.replaceAll('.', '_');
  if (kind === 'counter') return [`${base}_total`];
  return kind === 'gauge' ? [base] : ['bucket', 'sum', 'count'].map((part) => `${base}_${part}`);
});
/** Of Prometheus, of the OpenTelemetry SDK, and of the spans that Jaeger makes metrics of. */
const others = [
  'up',
  'ALERTS',
  'otel_sdk_processor_span_processed_total',
  'traces_span_metrics_calls_total',
  'traces_span_metrics_duration_milliseconds_bucket',
];

/** Words of an expression that are neither functions, labels, strings, times nor variables. */
function metricsIn(expression: string): string[] {
  const bare = expression
    .replaceAll(/"[^"]*"/g, '')
    .replaceAll(/\{[^}]*\}/g, '')
    .replaceAll(/\[[^\]]*\]/g, '')
    .replaceAll(/\b(by|on|without|ignoring) *\([^)]*\)/g, ' ')
    .replaceAll(/\b(and|or|unless|offset [0-9]+[smhd])\b/g, ' ');
  return [...bare.matchAll(/(?<![\w.])[a-zA-Z_:][\w:]*(?! *\()(?![\w:])/g)].map(([name]) => name);
}

/** Labels that an expression selects or groups by. */
function labelsIn(expression: string): string[] {
  const selected = [...expression.matchAll(/[{,] *(\w+) *(?:=~|!~|!=|=)/g)].map(([, label = '']) => label);
  const grouped = [...expression.matchAll(/\b(?:by|on) *\(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(','));
  return [...selected, ...grouped.map((label) => label.trim()).filter((label) => label !== '')];
}
const ourLabels = Object.values(metricTable).flatMap(({ labels }) => labels.map((label) => label.replaceAll('.', '_')));
/** Of Prometheus, and of the spans that Jaeger makes metrics of. */
const otherLabels = ['job', 'instance', 'le', 'alertstate', 'span_name', 'status_code'];

const expressionsOf = ({ panels }: Dashboard): string[] =>
  panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
const ruleExpressions = [...rules.matchAll(/^ +expr: (?:>-\n((?: {10}.*\n)+)|(.*)$)/gm)].map(
  ([, block, line]) => block ?? line ?? '',
);

describe('alerts', () => {
  it('each have a page for whoever is called, named after them, and no page is left over', () => {
    expect(alerts.length).toBeGreaterThan(10);
    expect(filesIn('docs/runbooks')).toEqual(alerts.map((name) => `${name}.md`).toSorted());
    expect(rules.match(/runbook_url: \S+/g)).toEqual(alerts.map((name) => `runbook_url: docs/runbooks/${name}.md`));
  });

  it('each say how urgent they are, and what was measured', () => {
    const bodies = rules.split(/^ +- alert: /m).slice(1);
    for (const body of bodies) {
      expect(body).toMatch(/severity: (page|ticket)/);
      expect(body).toMatch(/summary: .+\n +description: .+/);
    }
  });

  it('each are tested', () => {
    const tests = filesIn('deploy/prometheus/tests').map((name) => read(`deploy/prometheus/tests/${name}`));
    const tested = [...tests.join('\n').matchAll(/alertname: (\w+)$/gm)].map(([, name = '']) => name);
    expect([...new Set(tested)].toSorted()).toEqual(alerts.toSorted());
  });

  it.skipIf(!findProgram('promtool'))('are right by promtool, which comes with Prometheus', () => {
    const promtool = (args: string[], cwd: string) => execFileSync('promtool', args, { cwd, encoding: 'utf8' });
    expect(
      promtool(['check', 'rules', ...filesIn('deploy/prometheus/rules')], folder('deploy/prometheus/rules')),
    ).toContain('SUCCESS');
    expect(
      promtool(['test', 'rules', ...filesIn('deploy/prometheus/tests')], folder('deploy/prometheus/tests')),
    ).toContain('SUCCESS');
    expect(promtool(['check', 'config', 'prometheus.yml'], folder('deploy/prometheus'))).toContain('SUCCESS');
  });
});

describe('what rules and dashboards ask for', () => {
  const asking = [
    { name: 'rules', expressions: ruleExpressions },
    ...dashboards.map((one) => ({ name: one.name, expressions: expressionsOf(one) })),
  ];
  it.each(asking)('is measured: $name', ({ expressions }) => {
    const known = new Set([...ours, ...others, ...namesAfter('record')]);
    const asked = expressions.flatMap(metricsIn);
    expect(asked.length).toBeGreaterThan(10);
    expect(asked.filter((name) => !known.has(name))).toEqual([]);
    const knownLabels = new Set<string>([...ourLabels, ...otherLabels]);
    expect(expressions.flatMap(labelsIn).filter((label) => !knownLabels.has(label))).toEqual([]);
  });
});

describe('dashboards', () => {
  it.each(dashboards)('$name: every panel has an id of its own and asks something', ({ panels }) => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const silent = panels.filter(({ type, targets = [] }) => type !== 'row' && targets.length === 0);
    expect(silent.map(({ title }) => title)).toEqual([]);
  });

  it('have ids and names of their own', () => {
    expect(new Set(dashboards.map(({ uid }) => uid)).size).toBe(dashboards.length);
  });
});

describe('the stack', () => {
  it('takes images by exact tags', () => {
    const files = ['docker-compose.yml', 'Dockerfile'].map(read).join('\n');
    const images = [...files.matchAll(/^(?: +image:|FROM) (\S+)/gm)].map(([, image = '']) => image);
    expect(images.length).toBeGreaterThan(5);
    expect(images.filter((image) => !/^\S+:v?\d+\.\d+\.\d+(-\w+)?$/.test(image))).toEqual([]);
  });

  it('opens no port to other machines', () => {
    const ports = [...read('docker-compose.yml').matchAll(/ports: \[(.+)\]/g)].flatMap(([, list = '']) =>
      list.split(','),
    );
    expect(ports.length).toBeGreaterThan(3);
    expect(ports.filter((port) => !port.trim().startsWith("'127.0.0.1:"))).toEqual([]);
  });
});
