export { filesUnder, type ConfinedFiles } from './files.ts';
export { readOnlySql, type ReadOnlySql } from './sql.ts';
