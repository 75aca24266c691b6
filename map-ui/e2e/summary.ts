import type { FullResult, Reporter, Suite } from '@playwright/test/reporter'

/** Closes the run with one line that a script can read. */
export default class Summary implements Reporter {
  private suite?: Suite

  onBegin(_config: unknown, suite: Suite): void {
    this.suite = suite
  }

  onEnd(result: FullResult): void {
    const outcomes = (this.suite?.allTests() ?? []).map((test) => test.outcome())
    const passed = outcomes.filter((outcome) => outcome === 'expected').length
    const seconds = (result.duration / 1000).toFixed(1)
    console.log(`browser test: ${result.status}, ${passed} of ${outcomes.length} stories passed in ${seconds} s`)
  }
}
