import { databaseFaults } from './database.ts';
import { duoFaults } from './duo.ts';
import type { Fault } from './fault.ts';
import { killFaults } from './kill.ts';
import { powerFaults } from './power.ts';
import { stopFaults } from './stop.ts';

/** The fault plan, in its order. */
export const faults: readonly Fault[] = [
  ...killFaults,
  ...powerFaults,
  ...databaseFaults,
  ...duoFaults,
  ...stopFaults,
].sort((one, other) => one.id.localeCompare(other.id));
