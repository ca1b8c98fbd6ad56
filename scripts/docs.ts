/** Writes `docs/configuration.md` from the table in `src/config.ts`; with `--check` only tells whether it is fresh. */
import { describeOptions } from '../src/config.ts';

const page = new URL('../docs/configuration.md', import.meta.url);

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

/** Whether the committed page says what the table says. */
export async function isPageFresh(): Promise<boolean> {
  const file = Bun.file(page);
  return (await file.exists()) && (await file.text()) === configurationPage();
}

async function main(): Promise<void> {
  if (!process.argv.includes('--check')) {
    await Bun.write(page, configurationPage());
  } else if (!(await isPageFresh())) {
    process.stderr.write('docs/configuration.md is stale: run npm run docs\n');
    process.exitCode = 1;
  }
}

if (import.meta.main) await main();
