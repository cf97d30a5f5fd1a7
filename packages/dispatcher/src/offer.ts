import { nearest } from '@callyard/shared/nearest';
import { missingRequirements, type Principal } from '@callyard/shared/principal';
import type { Manifest } from '@callyard/shared/tool';
import { isRange } from '@callyard/shared/version';
import type { LiveTools } from './live-tools.ts';

/** Which tools a run offers: by name (`weather` or `weather@^1`), by category, or by a predicate. */
export type ToolSelection = readonly string[] | { categories: readonly string[] } | ((manifest: Manifest) => boolean);

/** What is offered, of what is live. */
export interface OfferOptions {
  /** which tools may be called; default: the live ones whose `requires` the principal meets */
  tools?: ToolSelection;
  /**
   * name → the semver range that may run it, such as `{ weather: '~1.2' }`; the highest live version in it is shown.
   * Default: the highest live version, and whatever is compatible with it (`^version`). A range in `tools` goes first.
   */
  versions?: Readonly<Record<string, string>>;
}

/** A tool as it is offered: the version shown, and the range that may run it. */
export interface OfferedTool {
  manifest: Manifest;
  range: string;
}

export type Offer = ReadonlyMap<string, OfferedTool>;

/** The selection cannot be offered; the message names the tool and the nearest one. */
export class OfferError extends Error {
  override name = 'OfferError';
}

/** By default every live tool whose `requires` the principal meets. Named tools are offered whatever they require. */
export function offerTools(live: LiveTools, principal: Principal, { tools, versions }: OfferOptions): Offer {
  if (isNames(tools)) return offerNamed(live, tools, versions);
  const wanted = typeof tools === 'object' ? inCategories(tools.categories) : (tools ?? (() => true));
  const isOffered = ({ manifest }: OfferedTool) =>
    missingRequirements(principal, manifest.policy.requires).length === 0 && wanted(manifest);
  return new Map([...offerEverything(live, versions)].filter(([, tool]) => isOffered(tool)));
}

/** Every live tool, whatever it requires. */
export function offerEverything(live: LiveTools, versions: OfferOptions['versions'] = {}): Offer {
  const given = Object.entries(versions).map(([name, range]) => find(live, name, range));
  return byName([...live.latest().map((manifest) => offered(manifest)), ...given]);
}

const isNames = (selection: ToolSelection | undefined): selection is readonly string[] => Array.isArray(selection);

const inCategories =
  (categories: readonly string[]) =>
  ({ category }: Manifest): boolean =>
    category !== undefined && categories.includes(category);

function offerNamed(live: LiveTools, wanted: readonly string[], versions: OfferOptions['versions']): Offer {
  const given = new Map(Object.entries(versions ?? {}));
  const tools = [...new Set(wanted)].map((text) => {
    const [name = '', ...range] = text.split('@');
    return find(live, name, range.length > 0 ? range.join('@') : given.get(name));
  });
  const offer = byName(tools);
  if (offer.size === tools.length) return offer;
  const twice = tools.find((tool) => offer.get(tool.manifest.name) !== tool);
  throw new OfferError(`${twice?.manifest.name} is named twice; a run shows one version of a tool`);
}

const byName = (tools: readonly OfferedTool[]): Offer => new Map(tools.map((tool) => [tool.manifest.name, tool]));

const offered = (manifest: Manifest, range = `^${manifest.version}`): OfferedTool => ({ manifest, range });

function find(live: LiveTools, name: string, range: string | undefined): OfferedTool {
  const wanted = range === undefined ? name : `${name}@${range}`;
  if (range !== undefined && !isRange(range)) {
    throw new OfferError(`${wanted}: ${JSON.stringify(range)} is not a semver range such as ^1 or ~1.2`);
  }
  const manifest = live.find(name, range);
  if (manifest) return offered(manifest, range);
  throw new OfferError(`no live worker serves ${wanted}; ${hintFor(live, name)}`);
}

function hintFor(live: LiveTools, name: string): string {
  const other = live.find(name);
  if (other) return `its highest live version is ${other.version}`;
  const names = live.latest().map((tool) => tool.name);
  const close = nearest(name, names);
  return close === undefined ? `${names.length} tools are live` : `did you mean ${close}?`;
}
