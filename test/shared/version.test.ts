import { describe, expect, it } from 'vitest';
import { highestIn, isRange, runnableBy } from '@callyard/shared/version';

const live = ['2.0.0', '1.4.0', '1.0.0', '1.5.0-rc.1', '3.0.0-rc.2', '3.0.0-rc.1'];

describe('the highest version in a range', () => {
  it.each([
    ['*', '2.0.0', 'a release before a higher prerelease'],
    ['^1', '1.4.0', 'no prerelease while a release is in range'],
    ['^1.5.0-rc.0', '1.5.0-rc.1', 'a prerelease for one who names its version'],
    ['>2.0.0', '3.0.0-rc.2', 'the highest prerelease where no release is in range'],
    ['^4', undefined, 'nothing out of range'],
    ['newest', undefined, 'nothing for what is no range'],
  ])('%s is %s: %s', (range, expected, _why) => {
    expect(highestIn(live, range)).toBe(expected);
  });

  it('is the same whatever the order, also of builds', () => {
    expect(highestIn(['1.0.0+a', '1.0.0+b'], '*')).toBe('1.0.0+b');
    expect(highestIn(['1.0.0+b', '1.0.0+a'], '*')).toBe('1.0.0+b');
  });
});

describe('the versions that may run a call', () => {
  it.each([
    ['1.0.0', '^1', ['1.4.0', '1.0.0'], 'all releases in range that know what the model was shown'],
    ['1.4.0', '^1', ['1.4.0'], 'none older than the one shown'],
    ['1.6.0', '^1', ['1.4.0', '1.0.0'], 'older ones where there are only older ones'],
    ['3.0.0-rc.2', '^3.0.0-rc.1', ['3.0.0-rc.2'], 'none older, of prereleases too'],
    ['2.5.0', '>=2.5.0', ['3.0.0-rc.2', '3.0.0-rc.1'], 'prereleases where no release is in range'],
    ['1.0.0', '^5', [], 'none out of range'],
  ])('of one shown %s, in %s, are %j: %s', (version, range, expected, _why) => {
    expect(runnableBy(live, { version, range })).toEqual(expected);
  });
});

describe('a range', () => {
  it.each(['^1', '~1.2', '1.x || >=2.5.0 <3', '*', '1.0.0-rc.1'])('may be %j', (range) => {
    expect(isRange(range)).toBe(true);
  });

  it.each(['newest', '^1.2.3.4', '>>1', `>=1.0.0 ${'<9.0.0 '.repeat(20)}`])('may not be %j', (range) => {
    expect(isRange(range)).toBe(false);
  });
});
