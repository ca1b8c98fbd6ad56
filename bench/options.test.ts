import { describe, expect, test } from 'bun:test';
import { readOptions } from './options.ts';

const read = (...args: string[]) => readOptions(args, true);

describe('the command line of the benchmark', () => {
  test('measures everything unless it is told otherwise, and nothing of what is switched off', () => {
    expect(read()).toMatchObject({ rounds: 3, sessions: 1000, store: 'sqlite', generator: 'wrk' });
    expect(read()?.peers.length).toBeGreaterThan(5);
    expect(read('--peers', 'none', '--neighbours', 'none')).toMatchObject({ peers: [], neighbours: [] });
  });

  test('adds the calls that an option is about', () => {
    expect(read('--targets', 'web', '--cold', '--refused', '20')).toMatchObject({
      targets: ['web', 'rest-cold', 'rest-mixed'],
      refusedPercent: 20,
    });
  });

  test.each([
    ['250', 250],
    ['10k', 10_000],
    ['10M', 10_000_000],
  ])('reads %s stored sessions', (text, count) => {
    expect(read('--sessions', text)).toMatchObject({ sessions: count });
  });

  test('takes settings of Cardea, and its own generator where wrk is missing', () => {
    expect(read('--set', 'CARDEA_LOG_LEVEL=warn')?.settings).toEqual({ CARDEA_LOG_LEVEL: 'warn' });
    expect(readOptions([], false)?.generator).toBe('own');
  });

  test.each([
    [['--sessions', 'many'], /--sessions takes a number/],
    [['--rounds', '0'], /--rounds takes a whole number from 1 to 100, not 0/],
    [['--store', 'mysql'], /--store knows sqlite, postgres, not mysql/],
    [['--set', 'PATH=/'], /--set takes CARDEA_NAME=value/],
    [['--quick'], /--quick/],
  ])('refuses %p', (args, sentence) => {
    expect(() => read(...args)).toThrow(sentence);
  });

  test('refuses a walk over stored sessions where there are none', () => {
    expect(() => read('--cold', '--sessions', '0')).toThrow('--cold needs stored sessions');
  });
});
