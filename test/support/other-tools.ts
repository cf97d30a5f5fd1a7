/* Tools of process-tools.ts in a pool of their own. */
export { nap, napOnce } from './process-tools.ts';
