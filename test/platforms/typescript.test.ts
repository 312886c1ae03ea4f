/** The packed declarations under the last five minors of TypeScript, strict and with skipLibCheck off, for both kinds of module resolution. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { installedFolder, root, run, tool } from './support.js'

const use = `
const net = new nn.Sequential(new nn.Linear(4, 8), new nn.ReLU(), new nn.Linear(8, 2))
const y: Tensor = net.forward(tensor([[1, 2, 3, 4]]))
export const n: number = y.size
// @ts-expect-error features do not fit
new nn.Sequential(new nn.Linear(4, 8), new nn.Linear(9, 2))
// @ts-expect-error not a dtype
tensor([1], { dtype: 'float' })
`
const sources = {
  'esm.mts': `import { nn, type Tensor, tensor } from 'chainrule'\n${use}`,
  'cjs.cts': `import { nn, type Tensor, tensor } from 'chainrule'\n${use}`,
  'bundled.ts': `import { nn, type Tensor, tensor } from 'chainrule'\n${use}`,
}

describe.each(['5.7', '5.8', '5.9', '6.0', '7.0'])('TypeScript %s', (version) => {
  const minor = `typescript@~${version}.0`
  it.for(['node16', 'bundler'])('moduleResolution %s', (resolution, context) => {
    const typescript = tool(minor)
    if (typescript === undefined) return context.skip(`${minor} cannot be had from npm here`)
    const folder = installedFolder()
    for (const [name, code] of Object.entries(sources)) writeFileSync(join(folder, name), code)
    const files = resolution === 'bundler' ? ['bundled.ts'] : ['esm.mts', 'cjs.cts']
    const compilerOptions = {
      ...{ strict: true, noEmit: true, skipLibCheck: false, target: 'es2022', lib: ['es2023', 'esnext.disposable'] },
      ...{ module: resolution === 'bundler' ? 'esnext' : 'node16', moduleResolution: resolution },
      ...{ types: ['node'], typeRoots: [join(root, 'node_modules/@types')] },
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
    expect(run(process.execPath, [join(typescript, 'bin/tsc'), '-p', '.'], folder)).toEqual({ status: 0, out: '' })
  })
})

describe('the package', () => {
  it('has no mistakes that publint finds', (context) => {
    const publint = tool('publint@0.3')
    if (publint === undefined) return context.skip('publint cannot be had from npm here')
    const { status, out } = run(
      process.execPath,
      [join(publint, 'src/cli.js'), join(installedFolder(), 'node_modules/chainrule'), '--strict'],
      root,
    )
    expect(status, out).toBe(0)
  })

  it('has types that are right for every way to import it', (context) => {
    const attw = tool('@arethetypeswrong/cli@0.18')
    if (attw === undefined) return context.skip('attw cannot be had from npm here')
    const tarball = join(root, 'build/platforms/chainrule.tgz')
    // node10 knows no `exports`, and is left out: our floor is Node 20
    const { status, out } = run(process.execPath, [join(attw, 'dist/index.js'), tarball, '--profile', 'node16', '--no-color'], root)
    expect(status, out).toBe(0)
  })
})
