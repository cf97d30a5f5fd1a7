import { createHash } from 'node:crypto';

/** What providers take: letters, digits, `_` and `-`, at most 64. */
const legal = /^[a-zA-Z0-9_-]{1,64}$/;

/** How `wireName` ends what it makes. */
const made = /-[0-9a-f]{8}$/;

/** Names as they go over the wire, and back. */
export interface ToolNames {
  toWire(name: string): string;
  /** A name that was never sent comes back as it is. */
  fromWire(wire: string): string;
}

/**
 * Maps names that providers do not take, such as `crm.orders/find`, to ones they do. The wire name depends on the name
 * alone, so that calls in a history keep theirs when the offered tools change.
 */
export function toolNames(names: Iterable<string>): ToolNames {
  const back = new Map<string, string>();
  for (const name of names) back.set(wireName(name), name);
  return {
    toWire: wireName,
    fromWire: (wire) => back.get(wire) ?? wire,
  };
}

/**
 * The name with `_` for what is not legal, told apart by a hash of the whole: `crm_orders_find-1f8e03ab`. A legal name
 * that looks like one of these gets a hash too, so that no two tools meet in one wire name.
 */
function wireName(name: string): string {
  if (legal.test(name) && !made.test(name)) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8);
  return `${name.replace(/[^a-zA-Z0-9_-]/g, '_').slice(0, 55)}-${hash}`;
}
