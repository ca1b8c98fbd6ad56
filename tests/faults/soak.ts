/** `npm run test:soak`: half of what the server can do at most, for as long as one likes; `--help` says how. */
import { parseArgs } from 'node:util';
import { endPrograms } from '../support/program.ts';
import { playFault } from './fault.ts';
import { playSoak, type SoakOptions } from './soak/run.ts';

const help = `Loads a server steadily with half of what it can do at most, and judges whether anything grows or slows down.

  npm run test:soak -- [options]

  --minutes <n>       how long (default 10; at most 660, since sessions end after 12 hours)
  --store <name>      sqlite or postgres (default sqlite)
  --guards-off        with a server that keeps every request: must fail
  --help              this text

The load: checks by key, bearer, cookie, SessionID and appliance token at all four contracts, of 60,000 sessions some of which
are in memory and some are not, refused credentials, refreshes, logins and logouts. First it finds out how much of that the server does
at most. Every answer is compared with what it must be. Red when the last third differs from the second one: resident memory by more
than 5 % and 4 MB, open descriptors by more than one, the checks' p99 by more than half of it, the write-ahead log by more than 16 MB; or
when an answer was wrong. Needs Linux, and a machine on which nothing else is at work.
`;

const say = (line: string) => void process.stdout.write(`${line}\n`);

/** @throws Error with a sentence about what is wrong with the command line */
function readOptions(): (SoakOptions & { readonly guardOff: boolean }) | null {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '10' },
      store: { type: 'string', default: 'sqlite' },
      'guards-off': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return null;
  const [minutes, { store }] = [Number(values.minutes), values];
  if (!(minutes > 0 && minutes <= 660)) throw new Error(`--minutes takes a number up to 660, not ${values.minutes}.`);
  if (store !== 'sqlite' && store !== 'postgres') throw new Error(`--store knows sqlite and postgres, not ${store}.`);
  return { minutes, store, guardOff: values['guards-off'] };
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options === null) {
    process.stdout.write(help);
    return 0;
  }
  if (process.platform !== 'linux') throw new Error('The soak reads /proc, which only Linux has.');
  process.once('SIGINT', () => void endPrograms().then(() => process.exit(130)));
  const fault = {
    id: 'F30',
    title: `half load for ${options.minutes} minutes, ${options.store}`,
    guard: 'letting go of requests',
    run: (scene) => playSoak(scene, options),
  } as const satisfies Parameters<typeof playFault>[0];
  const { guardOff } = options;
  say(`${fault.id} ${fault.title}${guardOff ? `, without: ${fault.guard}` : ''}`);
  const progress = (sentence: string) => say(`    ${sentence}`);
  const { failures, figures } = await playFault(fault, {
    quick: false,
    seed: 0,
    repeats: undefined,
    guardOff,
    progress,
  });
  await endPrograms();
  for (const figure of figures) say(figure);
  for (const failure of failures) say(`FAILED: ${failure}`);
  const verdict = guardOff ? ['DID NOT FAIL', 'seen to fail'] : ['passed', 'FAILED'];
  say(`${fault.id} ${verdict[failures.length > 0 ? 1 : 0]}`);
  return failures.length > 0 === guardOff ? 0 : 1;
}

process.exit(
  await main().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }),
);
