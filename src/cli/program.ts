import { Command } from 'commander';
import { version } from '../../package.json';
import { describeOptions } from '../config.ts';
import { addBackupCommand } from './backup.ts';
import { demo } from './demo.ts';
import { doctor } from './doctor.ts';
import { addKeyCommands } from './key.ts';
import { printJson, printLine } from './output.ts';
import { addRestoreCommand } from './restore.ts';
import { serve } from './serve.ts';
import { addSessionCommands } from './session.ts';
import { addUserCommands } from './user.ts';

/** The command line: every command with its help. */
export function createProgram(): Command {
  const program = new Command('cardea')
    .description('Cardea: one directory of users, one store of sessions, several wire contracts.')
    .version(version, '--version', 'print the version')
    .showHelpAfterError('(add --help for the options)')
    .addHelpText('after', '\nSettings are environment variables and a JSON file; "cardea help config" lists them.');
  program
    .command('serve')
    .description('serve for real, from the data directory or the configured database')
    .action(serve);
  program
    .command('demo')
    .description('serve example users from a throw-away directory and print what to try')
    .action(demo);
  addUserCommands(program);
  addSessionCommands(program);
  addKeyCommands(program);
  addBackupCommand(program);
  addRestoreCommand(program);
  program
    .command('doctor')
    .description('check data directory, database settings, schema, clock and keys; exit code 1 when something is wrong')
    .option('--json', 'print JSON')
    .action(async (flags: { readonly json?: boolean }) => {
      if (!(await doctor(flags))) process.exitCode = 1;
    });
  program
    .command('config', { hidden: true })
    .description('list every setting')
    .option('--json', 'print JSON')
    .action(printConfigHelp);
  return program;
}

/** `cardea help config` */
export function printConfigHelp(flags: { readonly json?: boolean }): void {
  const rows = describeOptions();
  if (flags.json === true) return printJson(rows);
  printLine(
    'Every setting of Cardea. CARDEA_CONFIG names a JSON file with the same options (dotted names or nested objects);',
  );
  printLine('the environment wins over the file, and an unknown name or wrong value stops the start.\n');
  for (const { environment, name, allowed, fallback, meaning } of rows) {
    printLine(environment);
    printLine(`    ${meaning}.`);
    printLine(`    In the file: ${name}. Allowed: ${allowed}. Default: ${fallback === '' ? 'empty' : fallback}.`);
  }
}
