/**
 * Models to start from, as `chainrule/models`: each with the architecture, the initial values and the `state_dict` names of its PyTorch
 * counterpart, so that its checkpoints load. Exports only.
 */
export { Autoencoder, type AutoencoderOptions, VAE, type VAEOptions } from './autoencoder.js'
export { CharLSTM, type CharLSTMOptions, type CharLSTMState } from './char-lstm.js'
export { DCGANDiscriminator, DCGANGenerator, type DCGANOptions } from './dcgan.js'
export { GPT, type GPTOptions } from './gpt.js'
export { LeNet } from './lenet.js'
export { type MLPOptions, mlp } from './mlp.js'
export { MobileNetV2, type MobileNetV2Options, mobilenetV2 } from './mobilenet.js'
export { CifarResNet, ResNet, type ResNetOptions, resnet18, resnet20, resnet34, resnet50 } from './resnet.js'
export type { SampleOptions } from './sample.js'
export { Seq2SeqTransformer, type Seq2SeqTransformerOptions } from './seq2seq.js'
export { UNet, type UNetOptions } from './unet.js'
