import { modelFromEnvironment } from '../models.ts';

/* What the dispatcher of docker-compose.yml asks (`--model-module`): with a key the real model too, which then is the one
   of runs that name none. */

export { scripted } from './scripted.ts';
export const real = modelFromEnvironment();
