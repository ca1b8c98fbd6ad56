import { CommanderError } from 'commander';
import { createProgram, printConfigHelp } from './cli/program.ts';
import { toStartError } from './cli/start-errors.ts';

/** Variables of the runtime that would open a debugger or load foreign code into a process that holds keys. */
const refusedVariables = ['BUN_INSPECT', 'BUN_INSPECT_CONNECT_TO', 'BUN_OPTIONS'];

function main(argv: readonly string[]): void {
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  const refused = refusedVariables.find((name) => process.env[name] !== undefined);
  if (refused !== undefined)
    return fail(new Error(`${refused} is set; Cardea does not start with a debugger or foreign code.`));
  const [command, topic, ...flags] = argv.slice(2);
  if (command === 'help' && topic === 'config') return printConfigHelp({ json: flags.includes('--json') });
  const program = createProgram().exitOverride();
  // No await at top level: while the entry module still awaits, an uncaught error would be printed and survived.
  program.parseAsync(argv).catch(fail);
}

/** One sentence on standard error, and an exit code that is not 0. */
function fail(error: unknown): void {
  if (error instanceof CommanderError) process.exit(error.exitCode);
  process.stderr.write(`cardea: ${toStartError(error)}\n`);
  process.exit(1);
}

main(process.argv);
