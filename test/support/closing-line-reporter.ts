import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/** Ends a run with one line for machines, `N passed, N failed`. A file that does not load counts as a failure. */
export class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const states = modules.flatMap((module) => [...module.children.allTests()].map((test) => test.result().state));
    const passed = states.filter((state) => state === 'passed').length;
    // A test without an end, because its worker died, is no success either.
    const failed = states.filter((state) => state === 'failed' || state === 'pending').length;
    const errors = modules.flatMap((module) => module.errors()).length + unhandled.length;
    // After vitest's own closing lines, which its default reporter writes in this same event.
    setImmediate(() => console.log(`${passed} passed, ${failed + errors} failed`));
  }
}
