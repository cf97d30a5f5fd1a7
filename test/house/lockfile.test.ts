import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

interface Lockfile {
  packages: Record<string, { optionalDependencies?: Record<string, string>; version?: string }>;
}

/** `npm ci` refuses a lockfile that lacks a package of another platform, which `npm install` leaves out without a word. */
function missingPackages({ packages }: Lockfile): string[] {
  const paths = Object.keys(packages);
  return Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !paths.some((at) => at.endsWith(`node_modules/${name}`)))
      .map((name) => `${path} needs ${name}`),
  );
}

it('the lockfile holds the packages of every platform, so that npm ci takes it', () => {
  const broken = { packages: { 'node_modules/a': { optionalDependencies: { 'a-darwin': '1.0.0' } } } };
  expect(missingPackages(broken)).toEqual(['node_modules/a needs a-darwin']);
  const lockfile = JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')) as Lockfile;
  expect(Object.keys(lockfile.packages).length).toBeGreaterThan(150);
  expect(missingPackages(lockfile)).toEqual([]);
});
