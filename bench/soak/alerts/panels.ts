import { readdirSync, readFileSync } from 'node:fs';
import type { Prometheus } from './prometheus.ts';

const folder = new URL('../../../deploy/grafana/dashboards/', import.meta.url);

interface Dashboard {
  panels: { title: string; targets?: { expr: string }[] }[];
}

/** A query of a panel. */
interface Query {
  /** `fleet.json: Calls: sum(…)` */
  about: string;
  expression: string;
}

/** One tool or another does what a panel of one tool shows. */
const tools = ['check_stock', 'quote_shipping', 'calculate', 'failing', 'slow'];

export const panelQueries = (): Query[] =>
  readdirSync(folder).flatMap((name) => {
    const { panels } = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Dashboard;
    return panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr }) => ({ about: `${name}: ${title}: ${expr}`, expression: expr })),
    );
  });

/** Those that find nothing at this moment. */
export async function withoutData({ query }: Prometheus, queries: readonly Query[]): Promise<Query[]> {
  const found = await Promise.all(queries.map(({ expression }) => findsData(query, expression)));
  return queries.filter((_, i) => !found[i]);
}

async function findsData(query: Prometheus['query'], expression: string): Promise<boolean> {
  const asked = expression.replaceAll('$__rate_interval', '20s');
  for (const tool of asked.includes('$tool') ? tools : ['']) {
    if ((await query(asked.replaceAll('$tool', tool))).length > 0) return true;
  }
  return false;
}
