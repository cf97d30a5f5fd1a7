import { appendFileSync } from 'node:fs';

/* Loaded by `NODE_OPTIONS=--import=…?file=FILE` into each process of a tree, which tells its pid to that file. */

appendFileSync(new URL(import.meta.url).searchParams.get('file') ?? '', `${process.pid}\n`);
