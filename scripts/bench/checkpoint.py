"""A ConvNeXT-T-sized checkpoint with random weights, made by Transformers."""


def make_convnext_tiny(folder):
    """Writes config.json, model.safetensors (114 MB) and preprocessor_config.json."""
    import torch
    from transformers import ConvNextConfig, ConvNextForImageClassification, ConvNextImageProcessor

    torch.manual_seed(0)
    model = ConvNextForImageClassification(ConvNextConfig(num_labels=1000))
    model.save_pretrained(folder, safe_serialization=True)
    ConvNextImageProcessor(size={"shortest_edge": 224}, resample=3,
                           image_mean=[0.485, 0.456, 0.406],
                           image_std=[0.229, 0.224, 0.225]).save_pretrained(folder)
