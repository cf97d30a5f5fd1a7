import type { ServingProcess } from '../../packages/cli/src/processes.ts';

/** What a worker tells of a handler. */
export interface Heard {
  id: string;
  is: 'started' | 'aborted';
  /** when, on the clock that all processes of a machine share, ms */
  at: number;
}

export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** Listens to workers: answers a promise of when something is told of a handler. */
export function listenTo(workers: readonly ServingProcess[]): (id: string, is: Heard['is']) => Promise<number> {
  const told = new Map<string, PromiseWithResolvers<number>>();
  const promised = (id: string, is: string): PromiseWithResolvers<number> => {
    const name = `${is} ${id}`;
    const promise = told.get(name) ?? Promise.withResolvers<number>();
    told.set(name, promise);
    return promise;
  };
  for (const { process: child } of workers)
    child.on('message', ({ id, is, at }: Heard) => promised(id, is).resolve(at));
  return (id, is) => promised(id, is).promise;
}
