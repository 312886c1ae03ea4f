/**
 * Models to start from, as `chainrule/models`: each with the architecture, the initial values and the `state_dict` names of its PyTorch
 * counterpart, so that its checkpoints load. Exports only.
 */
export { Autoencoder, type AutoencoderOptions, VAE, type VAEOptions } from './autoencoder.js'
export { DCGANDiscriminator, DCGANGenerator, type DCGANOptions } from './dcgan.js'
export { LeNet } from './lenet.js'
export { type MLPOptions, mlp } from './mlp.js'
export { MobileNetV2, type MobileNetV2Options, mobilenetV2 } from './mobilenet.js'
export { CifarResNet, ResNet, type ResNetOptions, resnet18, resnet20, resnet34, resnet50 } from './resnet.js'
export { UNet, type UNetOptions } from './unet.js'
