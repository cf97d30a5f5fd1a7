import { nearest } from '@callyard/shared/nearest';
import { missingRequirements, type Principal } from '@callyard/shared/principal';
import type { Manifest } from '@callyard/shared/tool';
import type { LiveTools } from './live-tools.ts';

/** Which tools a run offers: by name (`weather` or `weather@^1`), by category, or by a predicate. */
export type ToolSelection = readonly string[] | { categories: readonly string[] } | ((manifest: Manifest) => boolean);

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
export function offerTools(live: LiveTools, principal: Principal, selection?: ToolSelection): Offer {
  const chosen = isNames(selection) ? selection.map((name) => named(live, name)) : matching(live, principal, selection);
  return new Map(chosen.map((tool) => [tool.manifest.name, tool]));
}

const isNames = (selection: ToolSelection | undefined): selection is readonly string[] => Array.isArray(selection);

function matching(
  live: LiveTools,
  principal: Principal,
  selection: Exclude<ToolSelection, readonly string[]> | undefined,
): OfferedTool[] {
  const wanted =
    typeof selection === 'object'
      ? ({ category }: Manifest) => category !== undefined && selection.categories.includes(category)
      : (selection ?? (() => true));
  return live
    .latest()
    .filter((manifest) => missingRequirements(principal, manifest.policy.requires).length === 0 && wanted(manifest))
    .map((manifest) => ({ manifest, range: `^${manifest.version}` }));
}

function named(live: LiveTools, wanted: string): OfferedTool {
  const [name = '', range] = wanted.split('@', 2);
  const manifest = live.find(name, range);
  if (manifest) return { manifest, range: range ?? `^${manifest.version}` };
  const names = live.latest().map((tool) => tool.name);
  const close = nearest(name, names);
  const hint = close === undefined ? `${names.length} tools are live` : `did you mean ${close}?`;
  throw new OfferError(`no live worker serves ${wanted}; ${hint}`);
}
