/**
 * The kernels of avx512 on a machine that may lack AVX-512: compiled for plain loops in the place of its vectors (native/simd/avx512_twin.h), all op cases
 * through them. Minutes of compiling, so .ci/run leaves it out: `npm run test:platforms -- twin`.
 */
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, type TestContext } from 'vitest'
import { opCases, quiet } from './compare.js'
import { root, run } from './support.js'

describe('the kernels of avx512 on plain loops', { timeout: 3_000_000 }, () => {
  const folder = join(root, 'build/twin')

  /** Builds an addon that has both. Out: what runs the op cases on one of them. */
  async function twin(context: TestContext) {
    if (process.platform !== 'linux' || process.arch !== 'x64') return context.skip('kernels of avx512 are for x64')
    const options = ['TWIN=ON', 'ONLY_ISAS=avx512;avx512_twin', 'TESTS=OFF'].map((option) => `-DCHAINRULE_${option}`)
    const made = run('cmake', ['-S', root, '-B', folder, ...options, '-DCMAKE_BUILD_TYPE=Release'], root)
    expect(made.status, made.out).toBe(0)
    const building = ['--build', folder, '-j', String(availableParallelism()), '--target', 'chainrule']
    const built = run('cmake', building, root, {}, { timeout: 2_900_000 })
    expect(built.status, built.out).toBe(0)
    const { program, reference } = await opCases()
    const env = { ...quiet, CHAINRULE_BINARY: join(folder, 'chainrule.node') }
    const on = (isa: string, mode: string, file: string) =>
      run(process.execPath, [program, mode, file], root, { ...env, CHAINRULE_ISA: isa }, { timeout: 1_200_000 })
    return { on, reference }
  }

  it('agree with the reference', async (context) => {
    const { on, reference } = await twin(context)
    expect(on('avx512-twin', 'check', reference).out).toMatch(/^avx512-twin: \d+ results agree\n$/)
  })

  it('give the bits that AVX-512 gives', async (context) => {
    const { on, reference } = await twin(context)
    const direct = on('avx512', 'check', reference)
    if (direct.out.includes("no instruction set 'avx512'")) return context.skip('this machine has no AVX-512')
    expect(direct.out).toMatch(/^avx512: \d+ results agree\n$/)
    const bits = join(root, 'build/platforms/avx512.json')
    expect(on('avx512', 'record', bits)).toEqual({ status: 0, out: '' })
    expect(on('avx512-twin', 'same', bits).out).toMatch(/^avx512-twin: \d+ results agree\n$/)
  })
})
