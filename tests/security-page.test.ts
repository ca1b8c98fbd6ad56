import { expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeOptions } from '../src/config.ts';
import { projectRoot } from './support/program.ts';

const page = readFileSync(join(projectRoot, 'SECURITY.md'), 'utf8');
const promises = page.slice(page.indexOf('## What holds today'), page.indexOf('## What is not promised'));

function testsIn(text: string): string[] {
  return [...text.matchAll(/`([\w./-]+\.test\.ts)`/g)].map(([, path = '']) => path);
}

test('every test that SECURITY.md names is there and tests something', () => {
  const named = testsIn(promises);
  expect(named.length).toBeGreaterThan(30);
  for (const path of named) {
    expect({ path, exists: existsSync(join(projectRoot, path)) }).toEqual({ path, exists: true });
    expect(readFileSync(join(projectRoot, path), 'utf8')).toMatch(/\b(test|each)\b[^\n]*\(/);
  }
});

test('every promise names a test, or says that it is none', () => {
  const sections = promises.split(/^### /m).slice(1);
  expect(sections.map((section) => section.slice(0, 2))).toEqual([
    'P1',
    'P2',
    'P3',
    'P4',
    'P5',
    'P6',
    'P7',
    'P8',
    'Be',
  ]);
  for (const section of sections) {
    const holds = testsIn(section).length > 0 || /^Not promised\./m.test(section);
    expect({ section: section.slice(0, 20), holds }).toEqual({ section: section.slice(0, 20), holds: true });
  }
  const rows = promises.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| Promise'));
  for (const row of rows) expect({ row, tests: testsIn(row).length > 0 }).toEqual({ row, tests: true });
});

test('every setting that SECURITY.md names is one', () => {
  const known = describeOptions().map(({ environment }) => environment);
  const named = [...page.matchAll(/\bCARDEA_[A-Z_]+\b/g)].map(([name]) => name);
  expect(named.length).toBeGreaterThan(3);
  expect(named.filter((name) => !known.includes(name))).toEqual([]);
});
