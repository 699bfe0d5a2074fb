# SPDX-License-Identifier: Apache-2.0
"""What tensors are called in the original Simple-BEV's code, and here."""

from __future__ import annotations

from collections.abc import Iterable

PREFIXES = {
    "encoder.backbone.conv1.": "encoder.backbone.0.",
    "encoder.backbone.bn1.": "encoder.backbone.1.",
    "encoder.backbone.layer1.": "encoder.backbone.4.",
    "encoder.backbone.layer2.": "encoder.backbone.5.",
    "encoder.backbone.layer3.": "encoder.layer3.",
    "encoder.upsampling.": "encoder.upsampling_layer.",
    "encoder.to_latent.": "encoder.depth_layer.",
    "compressor.": "bev_compressor.",
    "decoder.conv1.": "decoder.first_conv.",
    "decoder.up3.conv.": "decoder.up3_skip.upsample_layer.1.",
    "decoder.up2.conv.": "decoder.up2_skip.upsample_layer.1.",
    "decoder.up1.conv.": "decoder.up1_skip.upsample_layer.1.",
    "feature_head.": "decoder.feat_head.",
    "segmentation_head.": "decoder.segmentation_head.",
    "center_head.": "decoder.instance_center_head.",
    "offset_head.": "decoder.instance_offset_head.",
}
"""Ours to the original's, where they differ."""

LOSS_WEIGHTS = ("ce_weight", "center_weight", "offset_weight")
"""Scalars that the original's loss learns beside the network."""

DEPTH = "encoder.depth_layer.weight"
COMPRESSOR = "bev_compressor.0.weight"
LAYER3 = "encoder.layer3."
DECODER_WIDTHS = (
    "decoder.first_conv.weight",
    "decoder.layer2.0.conv1.weight",
    "decoder.layer3.0.conv1.weight",
)
EFFICIENTNET = "encoder.backbone._conv_stem.weight"


def original_name(name: str) -> str:
    """The original's name of one of our tensors."""
    for ours, theirs in PREFIXES.items():
        if name.startswith(ours):
            return theirs + name[len(ours) :]
    return name


def layer3_depth(names: Iterable[str]) -> int:
    """Blocks of the encoder's layer3: 23 in a ResNet-101, 6 in a ResNet-50."""
    blocks = [name[len(LAYER3) :].split(".")[0] for name in names if name.startswith(LAYER3)]
    return max((int(block) + 1 for block in blocks if block.isdecimal()), default=0)
