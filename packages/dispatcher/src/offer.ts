import type { ConversationStates, StateValue } from '@callyard/shared/conversation-state';
import { nearest } from '@callyard/shared/nearest';
import { missingRequirements, type Principal } from '@callyard/shared/principal';
import type { Manifest } from '@callyard/shared/tool';
import { isRange } from '@callyard/shared/version';
import type { LiveTools } from './live-tools.ts';

/** Where a run stands when its next turn is offered its tools. */
export interface OfferSituation {
  /** of the conversation; empty where there is none */
  state: StateValue;
  /** from 0 */
  turn: number;
  principal: Principal;
  conversationId: string | undefined;
}

/** Whether a tool is offered in a turn. It only decides: it may be asked again. */
export type ChooseTool = (manifest: Manifest, situation: OfferSituation) => boolean;

/** Which tools a run offers: by name (`weather` or `weather@^1`), by category, or by a predicate. */
export type ToolSelection = readonly string[] | { categories: readonly string[] } | ChooseTool;

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
export function offerTools(
  live: LiveTools,
  principal: Principal,
  { tools, versions }: OfferOptions,
  where: Partial<OfferSituation> = {},
): Offer {
  if (isNames(tools)) return offerNamed(live, tools, versions);
  const situation = { state: {}, turn: 0, conversationId: undefined, principal, ...where };
  const wanted: ChooseTool = typeof tools === 'object' ? inCategories(tools.categories) : (tools ?? (() => true));
  return chosen(
    offerEverything(live, versions),
    (manifest) => missingRequirements(principal, manifest.policy.requires).length === 0 && wanted(manifest, situation),
  );
}

/** What is offered in a turn, and to whom. */
export interface TurnOffer extends Omit<OfferSituation, 'state'> {
  /** the run's own selection */
  options: OfferOptions;
}

export interface OfferParts {
  live: LiveTools;
  states: Pick<ConversationStates, 'read'>;
  /** the dispatcher's word on every run, beside the run's own selection */
  chooseTools?: ChooseTool | undefined;
}

/** The tools of a turn, by the run's own selection and the dispatcher's. The state is read only where one could look at it. */
export async function offerForTurn({ options, ...where }: TurnOffer, to: OfferParts): Promise<Offer> {
  const { principal, conversationId } = where;
  const looks = to.chooseTools !== undefined || typeof options.tools === 'function';
  const isStated = looks && conversationId !== undefined;
  const state = isStated ? (await to.states.read(principal.owner, conversationId)).value : {};
  const offer = offerTools(to.live, principal, options, { ...where, state });
  const { chooseTools } = to;
  return chooseTools ? chosen(offer, (manifest) => chooseTools(manifest, { ...where, state })) : offer;
}

const chosen = (offer: Offer, isChosen: (manifest: Manifest) => boolean): Offer =>
  new Map([...offer].filter(([, { manifest }]) => isChosen(manifest)));

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
