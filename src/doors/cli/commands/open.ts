import { examples } from '../examples.ts'
import type { Shape } from '../shape.ts'

export const open: Shape = (command, run) => {
  command
    .option('--no-browser', 'only print the link')
    .addHelpText('after', examples('open', 'open --no-browser'))
    .action(async (options: { browser: boolean }) => {
      const { terminal } = run
      const link = await run.openLink()
      if (run.json) await terminal.document({ link })
      else await terminal.answer(link)
      if (!terminal.interactive) return
      await terminal.note('the link works once, and for two minutes')
      if (options.browser) await run.openInBrowser(new URL(link)).catch(() => {})
    })
}
