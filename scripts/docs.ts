/** Writes the generated pages of `docs/`; with `--check` only tells whether they are fresh. */
import { describeOptions } from '../src/config.ts';
import { attacksPage } from './attacks-page.ts';

/** Each generated page and what it must say. */
const pages: Readonly<Record<string, () => string | Promise<string>>> = {
  'docs/configuration.md': configurationPage,
  'docs/attacks.md': attacksPage,
};

/** The page as it must be, in Markdown. */
export function configurationPage(): string {
  const rows = describeOptions().map(({ name, environment, allowed, fallback, meaning }) => {
    const shown = fallback === '' ? 'empty' : `\`${fallback}\``;
    return `| \`${environment}\` | \`${name}\` | ${meaning} | ${allowed} | ${shown} |`;
  });
  return [
    '# Configuration',
    '',
    'Generated from `src/config.ts` by `npm run docs`; do not edit.',
    '',
    'Every option has a name for the environment and a dotted name for a JSON file. `CARDEA_CONFIG` gives the path of that',
    'file, where sections nest (`{"ecgrid": {"tokenMinutes": 30}}`) or stay dotted (`{"ecgrid.tokenMinutes": 30}`). The',
    'environment wins over the file. Lists are separated by commas in the environment and arrays in the file. A wrong value',
    'or an unknown name stops the start with a sentence naming it; names starting with `CARDEA_TEST_` belong to the tests.',
    '',
    'Plain HTTP is for loopback: another `CARDEA_HOST` is refused unless `CARDEA_TRUSTED_PROXIES` names the proxies in front.',
    '',
    '| Environment | File | Meaning | Allowed | Default |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

/** The committed pages that do not say what they are made from. */
export async function stalePages(): Promise<string[]> {
  const stale: string[] = [];
  for (const [path, write] of Object.entries(pages)) {
    const file = Bun.file(locate(path));
    if (!(await file.exists()) || (await file.text()) !== (await write())) stale.push(path);
  }
  return stale;
}

function locate(path: string): URL {
  return new URL(`../${path}`, import.meta.url);
}

async function main(): Promise<void> {
  if (!process.argv.includes('--check')) {
    for (const [path, write] of Object.entries(pages)) await Bun.write(locate(path), await write());
    return;
  }
  for (const path of await stalePages()) {
    process.stderr.write(`${path} is stale: run npm run docs\n`);
    process.exitCode = 1;
  }
}

if (import.meta.main) await main();
