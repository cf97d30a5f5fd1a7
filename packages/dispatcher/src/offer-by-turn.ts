import { OfferError, type Offer } from './offer.ts';

/**
 * The same answer each time a turn is asked about, though tools come and go. What cannot be offered any more stays on
 * offer as it was: its calls wait for a worker to come.
 */
export function offerByTurn(
  build: (turn: number) => Promise<Offer>,
  known?: { turn: number; offer: Offer },
): (turn: number) => Promise<Offer> {
  let current = known;
  return async (turn) => {
    if (current?.turn === turn) return current.offer;
    const before = current?.offer;
    const offer = before ? await orAsBefore(build(turn), before) : await build(turn);
    current = { turn, offer };
    return offer;
  };
}

async function orAsBefore(built: Promise<Offer>, before: Offer): Promise<Offer> {
  try {
    return await built;
  } catch (error) {
    if (error instanceof OfferError) return before;
    throw error;
  }
}
